"""What goes on inside one job: probes at each dose, save points in between, judges of what models say."""
