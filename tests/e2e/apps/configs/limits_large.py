limit_request_line = 0
limit_request_fields = 32768
limit_request_field_size = 65536
max_requests = 0
workers = 2
timeout = 3600
