<?php
usleep(1000 * (int)($_GET['ms'] ?? 0));
echo 'hello from ' . parse_url($_SERVER['REQUEST_URI'], PHP_URL_PATH) . ' by ' . getmypid() . "\n";
