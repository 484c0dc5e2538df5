limit_request_line = 8190
limit_request_fields = 200
limit_request_field_size = 0
workers = 1
worker_connections = 100
backlog = 64
