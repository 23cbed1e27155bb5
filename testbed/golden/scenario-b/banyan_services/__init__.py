"""Services of one exported topology; core-daemon loads them by custom_services_dir."""
