statsd_host = "127.0.0.1:8125"
statsd_prefix = "shop"
workers = 2
timeout = 60
