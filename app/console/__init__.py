"""The operators' console over HTTP: pages rendered here, at a listener of their own."""
