"""The platform's API as typed structs: pure data, shared by `mapping` and `platform`."""
