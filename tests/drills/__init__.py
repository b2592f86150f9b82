"""Is what was built what people run? These take longer than tests should, or more than each machine has.

Each has a target of `make`; their names keep them out of the tests.
"""
