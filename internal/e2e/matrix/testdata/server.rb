# This is a server as in tutorials: a TCPServer with a blocking accept.
require 'socket'

server = TCPServer.new('0.0.0.0', Integer(ENV.fetch('PORT')))
loop do
  client = server.accept
  path, query = client.gets.to_s.split[1].to_s.split('?')
  nil until client.gets.to_s.chomp.empty?
  sleep(query[/ms=(\d+)/, 1].to_i / 1000.0) if query
  body = "hello from #{path} by #{Process.pid}\n"
  client.write "HTTP/1.1 200 OK\r\nContent-Length: #{body.bytesize}\r\nConnection: close\r\n\r\n#{body}"
  client.close
end
