"""The documented models: those of the five tutorials that this project was created from, and those they name.

`000` to `004` number the tutorials. `docs/models.md` gives the figures behind each level.
"""

from __future__ import annotations

from pytest_dlcheck.models.spec import Conv2D, Dense, Flatten, Level, MaxPooling2D, ModelSpec, SimpleRNN

__all__ = ["DOCUMENTED", "by_name"]

MNIST_CNN3 = ModelSpec(
    name="mnist_cnn3",
    title="MNIST CNN, three convolutions",
    formula="y = f(W * x + b), three times, then y = f(x W + b)",
    input_shape=(28, 28, 1),
    layers=(
        Conv2D(32, 3, "relu"),
        MaxPooling2D(2),
        Conv2D(64, 3, "relu"),
        MaxPooling2D(2),
        Conv2D(64, 3, "relu"),
        Flatten(),
        Dense(64, "relu"),
        Dense(10, "softmax"),
    ),
    optimizer="adam",
    loss="categorical_crossentropy",
    metrics=("accuracy",),
    batch_size=64,
    epochs=5,
    shortened_epochs=2,
    data="images",
    targets="one_hot",
    level=Level(
        "accuracy",
        0.49,
        "0.744 in the mean of 60 runs of 2 epochs, less six standard deviations of 0.041; guessing gives 0.11",
    ),
    source="tutorial 000",
    parameters_stated=93_322,
    written="add",
)

MNIST_CNN1 = ModelSpec(
    name="mnist_cnn1",
    title="MNIST CNN, one convolution",
    formula="y = f(W * x + b), then y = softmax(x W + b)",
    input_shape=(28, 28, 1),
    layers=(Conv2D(32, 3, "relu"), MaxPooling2D(2), Flatten(), Dense(10, "softmax")),
    optimizer="adam",
    loss="sparse_categorical_crossentropy",
    metrics=("accuracy",),
    batch_size=128,
    epochs=10,
    shortened_epochs=3,
    data="images",
    targets="integer",
    level=Level(
        "accuracy",
        0.79,
        "0.880 in the mean of 60 runs of 3 epochs, less six standard deviations of 0.014; guessing gives 0.11",
    ),
    source="tutorial 001",
    parameters_stated=54_410,
    validated=True,
)

MNIST_MLP = ModelSpec(
    name="mnist_mlp",
    title="MLP 784-128-10",
    formula="y = softmax(relu(x W1 + b1) W2 + b2)",
    input_shape=(784,),
    layers=(Flatten(), Dense(128, "relu"), Dense(10, "softmax")),
    optimizer="adam",
    loss="categorical_crossentropy",
    metrics=("accuracy",),
    batch_size=32,
    epochs=10,
    shortened_epochs=5,
    data="flat_images",
    targets="one_hot",
    level=Level(
        "accuracy",
        0.87,
        "0.941 in the mean of 60 runs of 5 epochs, less six standard deviations of 0.011; guessing gives 0.11",
    ),
    source="tutorial 002",
    parameters_stated=101_770,
)

LINEAR_REGRESSION = ModelSpec(
    name="linear_regression",
    title="linear regression y = 0.1 x + 0.3",
    formula="y = theta_0 + theta_1 x; theta <- theta - alpha dJ/dtheta",
    input_shape=(1,),
    layers=(Dense(1),),
    optimizer="sgd",
    loss="mean_squared_error",
    metrics=(),
    batch_size=1,
    epochs=100,
    shortened_epochs=15,
    data="line",
    targets="real",
    level=Level(
        "mean_squared_error",
        0.07,
        "1,500 steps leave at most 0.048 in 4,000 simulated runs; learning the bias alone leaves 0.15 in the median",
        of_start=True,
    ),
    source="tutorial 003",
    parameters_stated=2,
)

BINARY_CLASSIFIER = ModelSpec(
    name="binary_classifier",
    title="binary classifier 8-10-10-1",
    formula="y = sigmoid(relu(relu(x W1 + b1) W2 + b2) W3 + b3)",
    input_shape=(8,),
    layers=(Dense(10, "relu"), Dense(10, "relu"), Dense(1, "sigmoid")),
    optimizer="adam",
    loss="binary_crossentropy",
    metrics=("accuracy",),
    batch_size=32,
    epochs=10,
    data="tumours_8",
    targets="binary",
    level=Level(
        "accuracy",
        0.73,
        "0.919 in the mean of 60 runs, less six standard deviations of 0.030; guessing gives 0.63",
    ),
    source="tutorial 004, which leaves the data to the reader",
    parameters_stated=211,
)

LOGISTIC_REGRESSION = ModelSpec(
    name="logistic_regression",
    title="logistic regression",
    formula="P(y=1|x) = 1 / (1 + exp(-(theta_0 + theta . x)))",
    input_shape=(30,),
    layers=(Dense(1, "sigmoid"),),
    optimizer="sgd",
    loss="binary_crossentropy",
    metrics=("accuracy",),
    batch_size=32,
    epochs=20,
    data="tumours_30",
    targets="binary",
    level=Level(
        "accuracy",
        0.78,
        "0.943 in the mean of 60 runs, less six standard deviations of 0.026; guessing gives 0.63",
    ),
    source="named in the tutorials, with its formula and without code",
)

SIMPLE_RNN = ModelSpec(
    name="simple_rnn",
    title="recurrent network over the rows of a digit",
    formula="h_t = tanh(W x_t + U h_(t-1) + b), y = softmax(V h_T + c)",
    input_shape=(8, 8),
    layers=(SimpleRNN(64), Dense(10, "softmax")),
    optimizer="adam",
    loss="sparse_categorical_crossentropy",
    metrics=("accuracy",),
    batch_size=32,
    epochs=10,
    shortened_epochs=5,
    data="rows",
    targets="integer",
    level=Level(
        "accuracy",
        0.81,
        "0.894 in the mean of 60 runs of 5 epochs, less six standard deviations of 0.013; guessing gives 0.11",
    ),
    source="named in the tutorials, with its formula and without code",
)

AUTOENCODER = ModelSpec(
    name="autoencoder",
    title="autoencoder 784-32-784",
    formula="y = sigmoid(relu(x W1 + b1) W2 + b2), trained to give x back",
    input_shape=(784,),
    layers=(Dense(32, "relu"), Dense(784, "sigmoid")),
    optimizer="adam",
    loss="mean_squared_error",
    metrics=(),
    batch_size=32,
    epochs=10,
    shortened_epochs=5,
    data="flat_images",
    targets="inputs",
    level=Level(
        "mean_squared_error",
        0.04,
        "0.0263 in the mean of 60 runs of 5 epochs, plus six standard deviations of 0.0023; the mean image gives 0.052",
    ),
    source="named in the tutorials, without code",
)

DOCUMENTED: tuple[ModelSpec, ...] = (
    MNIST_CNN3,
    MNIST_CNN1,
    MNIST_MLP,
    LINEAR_REGRESSION,
    BINARY_CLASSIFIER,
    LOGISTIC_REGRESSION,
    SIMPLE_RNN,
    AUTOENCODER,
)


def by_name(name: str) -> ModelSpec:
    """The documented model of that name.

    Raises:
        LookupError: there is none; the message lists those there are.
    """
    for spec in DOCUMENTED:
        if spec.name == name:
            return spec
    raise LookupError(f"no documented model {name!r}; there are {', '.join(spec.name for spec in DOCUMENTED)}")
