"""The mapping between SCIM attributes and the platform's fields, as data (`mappings/*.toml`), both ways."""
