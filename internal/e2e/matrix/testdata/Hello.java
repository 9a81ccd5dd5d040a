import com.sun.net.httpserver.HttpServer;
import java.net.InetSocketAddress;

/** An HTTP server with com.sun.net.httpserver, which is part of Java. */
public class Hello {
    public static void main(String[] args) throws Exception {
        HttpServer server = HttpServer.create(new InetSocketAddress(Integer.parseInt(System.getenv("PORT"))), 0);
        server.createContext("/", exchange -> {
            byte[] body = ("hello from " + exchange.getRequestURI().getPath() + " by " + ProcessHandle.current().pid() + "\n").getBytes();
            exchange.sendResponseHeaders(200, body.length);
            exchange.getResponseBody().write(body);
            exchange.close();
        });
        Runtime.getRuntime().addShutdownHook(new Thread(() -> server.stop(1)));
        server.start();
    }
}
