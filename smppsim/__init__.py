"""The other end of the wire: an SMSC that can behave and misbehave on command."""
