// Run on a stack by languages_test.py: a server of several kinds, and a client that says "equal" if all were as they should be.
//
//   java JavaSockets.java serve ADDRESS FILE      HTTP (selectors), an echo of streams (a thread for each), one of datagrams
//   java JavaSockets.java ask ADDRESS SHA256

import com.sun.net.httpserver.HttpServer;
import java.io.InputStream;
import java.io.OutputStream;
import java.net.ConnectException;
import java.net.DatagramPacket;
import java.net.DatagramSocket;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.net.SocketException;
import java.net.SocketTimeoutException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.Executors;

public class JavaSockets {
    static final int HTTP = 8000, STREAM = 7000, DATAGRAMS = 7001, REQUESTS = 60;

    static String sha256(byte[] data) throws Exception {
        return HexFormat.of().formatHex(MessageDigest.getInstance("SHA-256").digest(data));
    }

    static void check(boolean condition, String otherwise) {
        if (!condition) throw new IllegalStateException(otherwise);
    }

    interface Work { void run() throws Exception; }

    static Thread start(Work work) {
        Thread thread = new Thread(() -> {
            try {
                work.run();
            } catch (Exception problem) {
                problem.printStackTrace();
            }
        });
        thread.start();
        return thread;
    }

    static void serve(String address, byte[] file) throws Exception {
        HttpServer http = HttpServer.create(new InetSocketAddress(address, HTTP), 100);
        http.setExecutor(Executors.newFixedThreadPool(4));
        http.createContext("/", exchange -> {
            exchange.sendResponseHeaders(200, file.length);
            try (OutputStream out = exchange.getResponseBody()) {
                out.write(file);
            }
        });
        http.start();
        DatagramSocket datagrams = new DatagramSocket(new InetSocketAddress(address, DATAGRAMS));
        start(() -> {
            for (DatagramPacket packet = new DatagramPacket(new byte[2000], 2000);; packet.setLength(2000)) {
                datagrams.receive(packet);
                datagrams.send(packet);
            }
        });
        ServerSocket listener = new ServerSocket(STREAM, 50, InetAddress.getByName(address));
        System.out.println("ready");
        while (true) {
            Socket one = listener.accept();
            start(() -> {
                try (one) {
                    one.getInputStream().transferTo(one.getOutputStream());
                } catch (SocketException reset) {
                    // who asks how it is to be closed
                }
            });
        }
    }

    static void askHttp(String address, String digest) throws Exception {
        HttpClient client = HttpClient.newBuilder().version(HttpClient.Version.HTTP_1_1).build();
        HttpRequest request = HttpRequest.newBuilder(URI.create("http://" + address + ":" + HTTP + "/")).build();
        var answers = new ArrayList<CompletableFuture<HttpResponse<byte[]>>>();
        for (int i = 0; i < REQUESTS; ++i) answers.add(client.sendAsync(request, HttpResponse.BodyHandlers.ofByteArray()));
        for (var answer : answers) check(sha256(answer.get().body()).equals(digest), "another file");
    }

    static void askStream(String address) throws Exception {
        byte[] data = new byte[3_000_000];
        for (int i = 0; i < data.length; ++i) data[i] = (byte) (i % 251);
        try (Socket socket = new Socket(address, STREAM)) {
            start(() -> {
                socket.getOutputStream().write(data);
                socket.shutdownOutput();
            });
            check(sha256(socket.getInputStream().readAllBytes()).equals(sha256(data)), "the stream came back different");
        }
    }

    // Java closes under a thread that reads by dup2() and a signal.
    static void closeUnderAReader(String address) throws Exception {
        Socket socket = new Socket(address, STREAM);
        socket.setSoTimeout(10);
        InputStream in = socket.getInputStream();
        try {
            in.read();
            check(false, "read without data");
        } catch (SocketTimeoutException expected) {
            socket.setSoTimeout(0);
        }
        var ended = new CompletableFuture<String>();
        Thread reader = start(() -> {
            try {
                ended.complete("read " + in.read());
            } catch (SocketException closed) {
                ended.complete("closed");
            }
        });
        socket.close();
        check(ended.get().equals("closed"), ended.get());
        reader.join();
    }

    // The length of what comes back. A datagram may be lost, so it is sent again while no answer comes.
    static int echoed(DatagramSocket socket, int length) throws Exception {
        socket.setSoTimeout(1000);
        DatagramPacket back = new DatagramPacket(new byte[2000], 2000);
        for (int again = 0; again < 20; ++again) {
            socket.send(new DatagramPacket(new byte[length], length));
            try {
                socket.receive(back);
                return back.getLength();
            } catch (SocketTimeoutException lost) {
            }
        }
        throw new IllegalStateException("no datagram came back");
    }

    static void ask(String address, String digest) throws Exception {
        askHttp(address, digest);
        askStream(address);
        for (int i = 0; i < 5; ++i) closeUnderAReader(address);
        try (DatagramSocket socket = new DatagramSocket()) {
            socket.connect(InetAddress.getByName(address), DATAGRAMS);
            check(echoed(socket, 1400) == 1400, "another datagram came back");
        }
        try {
            new Socket(address, 1).close();
            check(false, "connected to nobody");
        } catch (ConnectException expected) {
        }
        System.out.println("equal");
        System.exit(0);  // the HTTP client's threads linger
    }

    public static void main(String[] words) throws Exception {
        if (words[0].equals("serve")) serve(words[1], Files.readAllBytes(Path.of(words[2])));
        else ask(words[1], words[2]);
    }
}
