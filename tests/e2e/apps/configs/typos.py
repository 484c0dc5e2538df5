preload = True
keep_alive = 10
log_level = "debug"
max_request = 1000
worker = 5
access_log = "-"
workers = 1
