"""Transit carries messages: out through routing, lanes, pacing and the sender; in through the intake."""
