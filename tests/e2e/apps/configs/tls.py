import os

here = os.path.dirname(os.path.abspath(__file__))
certfile = os.path.join(here, "server.crt")
keyfile = os.path.join(here, "server.key")
workers = 1
do_handshake_on_connect = False
