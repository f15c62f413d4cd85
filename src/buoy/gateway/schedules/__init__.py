"""What is sent, or asked of the agent, by the clock: when, what of the missed, and the service that does it."""
