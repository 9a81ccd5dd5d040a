# This is a minimal application for puma.
run lambda { |env|
  [200, { 'content-type' => 'text/plain' }, ["hello from #{env['PATH_INFO']} by #{Process.pid}\n"]]
}
