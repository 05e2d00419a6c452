"""A submission by CPython's smtplib: HOST PORT TLS(off|starttls|implicit) AUTH(0|1) CA-FILE FROM TO…, message on standard input."""
import smtplib
import ssl
import sys

host, port, tls, auth, authority, sender, *recipients = sys.argv[1:]
context = ssl.create_default_context(cafile=authority) if tls != "off" else None
server = smtplib.SMTP_SSL(host, int(port), context=context) if tls == "implicit" else smtplib.SMTP(host, int(port))
if tls == "starttls":
    server.starttls(context=context)
if auth == "1":
    server.login("user", "password")
refused = server.sendmail(sender, recipients, sys.stdin.buffer.read())
server.quit()
sys.exit(1 if refused else 0)
