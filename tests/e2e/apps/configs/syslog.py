syslog = True
syslog_addr = "udp://localhost:514"
syslog_prefix = "shop"
syslog_facility = "local1"
workers = 1
