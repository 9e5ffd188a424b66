"""From records to what the report stands on."""
