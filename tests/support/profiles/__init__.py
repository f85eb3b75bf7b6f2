"""A registry in memory that behaves like a chosen product: `ProfileRegistry(profiles.QUAY)`."""
