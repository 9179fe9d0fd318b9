// Spring Session with an index: it sets notify-keyspace-events, finds sessions by the names of users, and is told of those that
// are created, deleted and expired.

import java.time.Duration;
import java.util.concurrent.ConcurrentLinkedQueue;
import org.springframework.context.annotation.AnnotationConfigApplicationContext;
import org.springframework.context.annotation.Bean;
import org.springframework.context.annotation.Configuration;
import org.springframework.context.event.EventListener;
import org.springframework.data.redis.connection.RedisStandaloneConfiguration;
import org.springframework.data.redis.connection.lettuce.LettuceConnectionFactory;
import org.springframework.session.FindByIndexNameSessionRepository;
import org.springframework.session.Session;
import org.springframework.session.data.redis.config.annotation.web.http.EnableRedisIndexedHttpSession;
import org.springframework.session.events.AbstractSessionEvent;

public class IndexedSessions {
    static final ConcurrentLinkedQueue<String> EVENTS = new ConcurrentLinkedQueue<>();

    @Configuration
    @EnableRedisIndexedHttpSession
    public static class Settings {
        @Bean
        public LettuceConnectionFactory connections() {
            RedisStandaloneConfiguration where =
                new RedisStandaloneConfiguration("127.0.0.1", Integer.parseInt(System.getenv("PORT")));
            where.setDatabase(Integer.parseInt(System.getenv("DB")));
            return new LettuceConnectionFactory(where);
        }

        @EventListener
        public void on(AbstractSessionEvent event) {
            EVENTS.add(event.getClass().getSimpleName() + " " + event.getSessionId());
        }
    }

    static void await(String event) throws Exception {
        for (int n = 0; n < 600 && !EVENTS.contains(event); n++) {
            Thread.sleep(50);
        }
        if (!EVENTS.contains(event)) {
            throw new AssertionError(event + " has not come, but " + EVENTS);
        }
    }

    static <S extends Session> void use(FindByIndexNameSessionRepository<S> sessions) throws Exception {
        S session = sessions.createSession();
        session.setAttribute(FindByIndexNameSessionRepository.PRINCIPAL_NAME_INDEX_NAME, "anna");
        session.setAttribute("visits", 7);
        sessions.save(session);
        await("SessionCreatedEvent " + session.getId());
        if (!sessions.findByPrincipalName("anna").containsKey(session.getId())) {
            throw new AssertionError("the index has no such session");
        }
        if (!Integer.valueOf(7).equals(sessions.findById(session.getId()).getAttribute("visits"))) {
            throw new AssertionError("the session has not what was set");
        }
        S brief = sessions.createSession();
        brief.setMaxInactiveInterval(Duration.ofSeconds(1));
        sessions.save(brief);
        await("SessionExpiredEvent " + brief.getId());
        sessions.deleteById(session.getId());
        await("SessionDeletedEvent " + session.getId());
        if (!sessions.findByPrincipalName("anna").isEmpty()) {
            throw new AssertionError("the index has a session that was deleted");
        }
    }

    public static void main(String[] args) throws Exception {
        try (AnnotationConfigApplicationContext context = new AnnotationConfigApplicationContext(Settings.class)) {
            use(context.getBean(FindByIndexNameSessionRepository.class));
        }
        System.exit(0);
    }
}
