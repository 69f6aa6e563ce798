"""The SCIM protocol as pure functions over data: no input or output, nothing asynchronous."""
