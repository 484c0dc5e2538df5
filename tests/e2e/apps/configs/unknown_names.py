debug = True
django_settings = "shop.settings"
name = "shop"
logfile = "/var/log/shop.log"
worker_timeout = 30
bind = "127.0.0.1:8001"
workers = 2
timeout = 60
