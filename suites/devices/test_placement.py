"""Does what is computed on a device lie on that device, and does each of several devices compute?"""

from __future__ import annotations

import numpy as np
import pytest

from pytest_dlcheck import Backend, Device


@pytest.mark.dl_subject("devices.tensor")
@pytest.mark.dl_property("placement")
def test_a_result_lies_on_its_device(backend: Backend, device: Device) -> None:
    x = device.put(np.arange(6, dtype=np.float32).reshape(2, 3))
    device.verify(x)
    device.verify(x @ device.put(np.ones((3, 2), dtype=np.float32)))


@pytest.mark.dl_subject("devices.layer")
@pytest.mark.dl_property("placement")
def test_a_layer_lies_on_its_device(backend: Backend, device: Device) -> None:
    layer = backend.keras.layers.Dense(4)
    y = layer(device.put(np.ones((2, 3), dtype=np.float32)))
    device.verify(y)
    device.verify(layer)


@pytest.mark.dl_devices(2)
@pytest.mark.dl_subject("devices.several")
@pytest.mark.dl_property("placement")
def test_each_of_several_devices_computes_the_same(backend: Backend, devices: list[Device]) -> None:
    x = np.linspace(-2, 2, 12, dtype=np.float32).reshape(3, 4)
    results = []
    for each in devices:
        with each.scope():
            y = each.put(x) @ each.put(x.T)
        each.verify(y)
        results.append(backend.to_numpy(y))
    for result in results[1:]:
        np.testing.assert_array_equal(result, results[0])
