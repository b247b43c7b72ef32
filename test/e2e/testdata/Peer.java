// SPDX-License-Identifier: Apache-2.0

import com.sun.net.httpserver.HttpsConfigurator;
import com.sun.net.httpserver.HttpsServer;
import java.io.FileInputStream;
import java.net.InetSocketAddress;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.security.KeyStore;
import javax.net.ssl.KeyManagerFactory;
import javax.net.ssl.SSLContext;
import javax.net.ssl.TrustManagerFactory;

/** Serves HTTPS on a port, or gets a page from one: Peer serve|get PORT KEYSTORE. */
class Peer {
	public static void main(String[] args) throws Exception {
		int port = Integer.parseInt(args[1]);
		KeyStore store = KeyStore.getInstance("PKCS12");
		store.load(new FileInputStream(args[2]), "secret".toCharArray());
		KeyManagerFactory keys = KeyManagerFactory.getInstance("SunX509");
		keys.init(store, "secret".toCharArray());
		KeyStore trusted = KeyStore.getInstance("PKCS12");
		trusted.load(null, null);
		trusted.setCertificateEntry("peer", store.getCertificate("peer"));
		TrustManagerFactory trust = TrustManagerFactory.getInstance("PKIX");
		trust.init(trusted);
		SSLContext context = SSLContext.getInstance("TLS");
		context.init(keys.getKeyManagers(), trust.getTrustManagers(), null);
		if (args[0].equals("serve")) {
			HttpsServer server = HttpsServer.create(new InetSocketAddress("127.0.0.1", port), 0);
			server.setHttpsConfigurator(new HttpsConfigurator(context));
			server.createContext("/", exchange -> {
				exchange.sendResponseHeaders(200, 2);
				exchange.getResponseBody().write("hi".getBytes());
				exchange.close();
			});
			server.start();
		} else {
			HttpClient client = HttpClient.newBuilder().sslContext(context).build();
			HttpRequest request = HttpRequest.newBuilder(URI.create("https://localhost:" + port + "/")).build();
			System.out.println(client.send(request, HttpResponse.BodyHandlers.ofString()).body());
		}
	}
}
