accesslog = "access.log"
access_log_format = ('%(t)s %(p)s %(h)s "%(r)s" %(s)s %(T)s.%(D)s %(L)s %(M)s %(b)s "%(f)s" "%(a)s" '
                     '"%({x-real-ip}i)s" %({server}o)s %({wsgi.url_scheme}e)s')
disable_redirect_access_to_syslog = True
workers = 2
