"""What commands do once their options are read. Loaded when a command is called: torch, numpy and the report are here."""
