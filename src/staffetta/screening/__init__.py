"""May this come in: limits on connections and senders."""
