"""One message out, one message in: the ledger and the engine."""
