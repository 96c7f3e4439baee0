"""The documentation site: pages generated from the registry, and rules that run in the reader's browser."""
