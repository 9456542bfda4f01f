"""The life of one message: accept, states, trace, emergency inbox."""
