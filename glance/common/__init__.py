"""What every floor may use: configuration, exceptions, small mechanisms."""
