"""From one monitor to the next: forks, and promotions of alert streams."""
