"""For the people who run the bridge: metrics, traces and a line of the log for every request."""
