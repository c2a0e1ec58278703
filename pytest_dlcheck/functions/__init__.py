"""What exported functions give: on a backend in every mode, on symbolic tensors, and by an independent reference."""
