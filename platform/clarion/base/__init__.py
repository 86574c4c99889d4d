"""Settings, database, clock, errors, keys, servers: knows nothing of the product."""
