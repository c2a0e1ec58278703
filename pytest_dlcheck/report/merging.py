"""Several reports as one: pure functions on the JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from pytest_dlcheck.backends import DISTRIBUTIONS
from pytest_dlcheck.errors import DlcheckError
from pytest_dlcheck.report.reading import SCHEMA, product_of

__all__ = ["check_of", "merged", "names_of_products"]

Report = Mapping[str, Any]
Product = Mapping[str, Any]

# Not versions of distributions.
_FIXED = ("python", "backend", "device", "cpu", "cores", "memory_bytes", "os", "name")


def _identity(product: Product) -> str:
    """The same text for the same product. The memory that a machine has free for us differs from start to start."""
    return json.dumps({key: value for key, value in product.items() if key not in ("memory_bytes", "name")}, sort_keys=True)


def check_of(result: Mapping[str, Any]) -> tuple[str, ...]:
    """What a result judged, whatever the product: subject, property, api, device, dtype policy and mode."""
    return tuple(str(result.get(key) or "") for key in ("subject", "property", "api", "device", "dtype", "mode"))


def _framework(product: Product) -> str:
    name = str(product["backend"]["name"])
    version = next((product[each] for each in (*DISTRIBUTIONS.get(name, ()), name) if each in product), "")
    return f"{name} {str(version).partition('+')[0]}".strip()


def names_of_products(products: Sequence[Product]) -> list[str]:
    """A name for each product, as short as tells it from the others: `tensorflow 2.18.1, keras 3.15.1`.

    The framework's version always; Keras's and Python's where not all products have the same; then, one after the other,
    whatever else is needed to tell two apart.
    """
    names = [_framework(product) for product in products]

    def add(key: str, *, needed: bool) -> None:
        told = [_told(key, product.get(key)) for product in products]
        twice = {name for name in names if names.count(name) > 1}
        for place, name in enumerate(list(names)):
            differs = len({told[other] for other, same in enumerate(names) if same == name or not needed}) > 1
            if told[place] and differs and (name in twice or not needed):
                additions.setdefault(place, []).append(told[place])

    for key, needed in (("keras", False), ("python", False)):
        additions: dict[int, list[str]] = {}
        add(key, needed=needed)
        names = [", ".join([name, *additions.get(place, [])]) for place, name in enumerate(names)]
    others = sorted({key for product in products for key in product} - {*_FIXED, "keras"})
    for key in (*others, "device", "cpu", "os", "cores"):
        additions = {}
        add(key, needed=True)
        names = [", ".join([name, *additions.get(place, [])]) for place, name in enumerate(names)]
    return [name if names.count(name) == 1 else f"{name} #{names[:place].count(name) + 1}" for place, name in enumerate(names)]


def _told(key: str, value: Any) -> str:
    if value is None:
        return ""
    if key == "device":
        return ", ".join([*value.get("names", ()), *(str(gpu.get("name")) for gpu in value.get("gpus", ()))])
    if key in ("cpu", "os"):
        return str(value)
    return f"{value} {key}" if key == "cores" else f"{key} {value}"


def merged(reports: Sequence[tuple[str, Report]]) -> dict[str, Any]:
    """One report of all products; reports of one product that judge different things (several suites) become one product.

    Each product gets a `name`, each result and measurement its `product`; `run` says what all runs have in common, and `runs`
    what each was.

    Args:
        reports: by the name of the file that each came from.

    Raises:
        DlcheckError: there are none, two judge the same thing of the same product, or nothing was judged at all.
    """
    if not reports:
        raise DlcheckError("there is no report to merge")
    products: dict[str, Product] = {}
    homes: dict[tuple[int, str], str] = {}
    for place, (_, report) in enumerate(reports):
        for product in report["product"]:
            identity = _identity(product)
            products.setdefault(identity, product)
            homes[place, product.get("name") or product["backend"]["name"]] = identity
    names = dict(zip(products, names_of_products(list(products.values())), strict=True))
    _refuse_twice(reports, homes, names)
    entries: dict[str, list[dict[str, Any]]] = {
        key: [
            {**entry, "product": names[homes[place, product_of(entry)]]}
            for place, (_, report) in enumerate(reports)
            for entry in report.get(key, ())
            if entry["backend"] is not None
        ]
        for key in ("results", "measurements", "series")
    }
    if not any(entries.values()):
        raise DlcheckError("these reports hold no results at all")
    return {
        "schema": SCHEMA,
        "product": [{**product, "name": names[identity]} for identity, product in products.items()],
        "run": _run([report["run"] for _, report in reports]),
        "runs": [
            run
            for place, (name, report) in enumerate(reports)
            for run in report.get("runs")
            or [{"source": name, "products": sorted({names[homes[at]] for at in homes if at[0] == place}), **report["run"]}]
        ],
        **{key: found for key, found in entries.items() if found or key != "series"},
    }


def _refuse_twice(
    reports: Sequence[tuple[str, Report]], homes: Mapping[tuple[int, str], str], names: Mapping[str, str]
) -> None:
    seen: dict[tuple[str, ...], int] = {}
    for place, (name, report) in enumerate(reports):
        here = set()
        for result in report["results"]:
            if result["backend"] is None:
                continue
            identity = homes[place, product_of(result)]
            here.add((identity, str(result.get("test")), *check_of(result)))
        for key in here:
            if key in seen:
                raise DlcheckError(
                    f"{reports[seen[key]][0]} and {name} hold the same product ({names[key[0]]}), and both judge "
                    f"{key[3]} of {key[2]}: leave one of them out"
                )
        seen |= dict.fromkeys(here, place)


def _run(runs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What the runs have in common; None where they differ."""

    def common(key: str) -> Any:
        values = [run.get(key) for run in runs]
        return values[0] if all(value == values[0] for value in values) else None

    return {
        "seed": common("seed"),
        "profile": common("profile"),
        "started": min(str(run.get("started", "")) for run in runs),
        "seconds": round(sum(float(run.get("seconds") or 0) for run in runs), 3),
        "suite": common("suite"),
        "exit_status": max(int(run.get("exit_status") or 0) for run in runs),
        "left_out": {name: why for run in runs for name, why in (run.get("left_out") or {}).items()},
    }
