"""The only door to the machine: clock, entropy, disk, net, tasks, telemetry."""
