"""The suites: installed as `pytest_dlcheck.suites`, run with `pytest --pyargs pytest_dlcheck.suites`."""
