// pgjdbc at its normal work: prepared statements, batches, cursors by fetch size, COPY, savepoints.
// Run as a single file: java -cp /usr/share/java/postgresql.jar Work.java work

import java.io.StringReader;
import java.io.StringWriter;
import java.sql.BatchUpdateException;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.SQLWarning;
import java.sql.Savepoint;
import java.sql.Statement;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.Properties;
import java.util.concurrent.CompletableFuture;
import org.postgresql.PGConnection;
import org.postgresql.util.PSQLException;
import org.postgresql.util.ServerErrorMessage;

public class Work {
    static final String ROOMS = "SELECT count(*) FROM rooms";

    public static void main(String[] arguments) throws Exception {
        switch (arguments[0]) {
            case "work" -> work();
            case "held" -> held();
            case "denied" -> denied();
            default -> throw new IllegalArgumentException(arguments[0]);
        }
    }

    static void say(String step, Object value) {
        System.out.println("{\"step\": " + quoted(step) + ", \"value\": " + json(value) + "}");
    }

    static String json(Object value) {
        if (value == null || value instanceof Number || value instanceof Boolean) return String.valueOf(value);
        if (value instanceof List<?> list) return "[" + String.join(", ", list.stream().map(Work::json).toList()) + "]";
        return quoted(value.toString());
    }

    static String quoted(String text) {
        return '"' + text.replace("\\", "\\\\").replace("\"", "\\\"").replace("\n", "\\n").replace("\t", "\\t") + '"';
    }

    static Connection connect(String... options) throws SQLException {
        Properties properties = new Properties();
        properties.put("user", System.getenv("E2E_USER"));
        properties.put("password", System.getenv("E2E_PASSWORD"));
        properties.put("ApplicationName", "jdbc work");
        properties.put("sslmode", "disable");
        for (int i = 0; i < options.length; i += 2) properties.put(options[i], options[i + 1]);
        String url = "jdbc:postgresql://" + System.getenv("E2E_HOST") + ":" + System.getenv("E2E_PORT") + "/" + System.getenv("E2E_DATABASE");
        return DriverManager.getConnection(url, properties);
    }

    static List<Object> column(ResultSet rows) throws SQLException {
        List<Object> values = new ArrayList<>();
        while (rows.next()) values.add(rows.getObject(1));
        return values;
    }

    static Object one(Connection conn, String query) throws SQLException {
        try (Statement statement = conn.createStatement(); ResultSet rows = statement.executeQuery(query)) {
            return column(rows).get(0);
        }
    }

    static void work() throws Exception {
        try (Connection conn = connect()) {
            queries(conn);
            metadata(conn);
            transactions(conn);
            batches(conn);
            cursors(conn);
            copies(conn);
            cancelling(conn);
        }
        try (Connection conn = connect("preferQueryMode", "simple")) {
            try (PreparedStatement statement = conn.prepareStatement("SELECT ?::int + 1")) {
                statement.setInt(1, 41);
                say("simple mode", column(statement.executeQuery()));
            }
        }
    }

    static void queries(Connection conn) throws SQLException {
        say("server", Arrays.asList(conn.getMetaData().getDatabaseProductVersion(), conn.getMetaData().getUserName()));
        try (Statement statement = conn.createStatement()) {
            ResultSet rows = statement.executeQuery("SELECT 1, 'two', NULL, 2.5::numeric, DATE '2026-02-03', true");
            rows.next();
            List<Object> row = new ArrayList<>();
            for (int i = 1; i <= 6; i++) row.add(rows.getString(i));
            say("row", row);
            say("insert", statement.executeUpdate("INSERT INTO rooms VALUES ('j1', 70), ('j2', 70)"));
            statement.executeUpdate("INSERT INTO appointments(starts, room, doctor) VALUES ('2026-05-05', 'R1', 'dr1')", Statement.RETURN_GENERATED_KEYS);
            ResultSet keys = statement.getGeneratedKeys();
            keys.next();
            say("generated key", keys.getLong(1));
            say("several", Arrays.asList(statement.execute("SELECT 1; UPDATE rooms SET beds = 3 WHERE floor = 70; SELECT 2"),
                statement.getMoreResults(), statement.getUpdateCount(), statement.getMoreResults()));
            statement.execute("DROP TABLE IF EXISTS nowhere");
            SQLWarning warning = statement.getWarnings();
            say("warning", Arrays.asList(warning.getSQLState(), warning.getMessage()));
        }
        // The driver names the statement on the server after five uses.
        try (PreparedStatement statement = conn.prepareStatement("SELECT room FROM rooms WHERE floor = ? AND beds = ? ORDER BY room")) {
            List<Object> all = new ArrayList<>();
            for (int i = 0; i < 12; i++) {
                statement.setInt(1, i % 3);
                statement.setInt(2, 1 + i % 2);
                all.add(column(statement.executeQuery()));
            }
            say("prepared", all);
        }
        say("named", one(conn, "SELECT count(*) FROM pg_prepared_statements WHERE statement LIKE 'SELECT room%'"));
    }

    static void metadata(Connection conn) throws SQLException {
        ResultSet columns = conn.getMetaData().getColumns(null, "public", "rooms", null);
        List<Object> names = new ArrayList<>();
        while (columns.next()) names.add(columns.getString("COLUMN_NAME") + " " + columns.getString("TYPE_NAME"));
        say("columns", names);
        ResultSet keys = conn.getMetaData().getPrimaryKeys(null, "public", "rooms");
        keys.next();
        say("key", keys.getString("COLUMN_NAME"));
    }

    static void transactions(Connection conn) throws SQLException {
        conn.setAutoCommit(false);
        try (Statement statement = conn.createStatement()) {
            statement.executeUpdate("INSERT INTO rooms VALUES ('kept', 71)");
            Savepoint before = conn.setSavepoint();
            try {
                statement.executeQuery("SELECT 1/0");
            } catch (SQLException error) {
                say("inside", error.getSQLState());
            }
            try {
                statement.executeQuery("SELECT 1");
            } catch (SQLException error) {
                say("aborted", error.getSQLState());
            }
            conn.rollback(before);
            conn.commit();
            statement.executeUpdate("INSERT INTO rooms VALUES ('gone', 71)");
            conn.rollback();
        }
        say("kept", one(conn, ROOMS + " WHERE floor = 71"));
        conn.commit();
        conn.setAutoCommit(true);
    }

    static void batches(Connection conn) throws SQLException {
        try (PreparedStatement statement = conn.prepareStatement("INSERT INTO rooms VALUES (?, ?)")) {
            for (int i = 0; i < 500; i++) {
                statement.setString(1, "batch" + i);
                statement.setInt(2, 72);
                statement.addBatch();
            }
            say("batch", Arrays.stream(statement.executeBatch()).sum());
            for (String room : new String[] {"twice", "twice", "never"}) {
                statement.setString(1, room);
                statement.setInt(2, 73);
                statement.addBatch();
            }
            try {
                statement.executeBatch();
            } catch (BatchUpdateException error) {
                say("batch error", Arrays.asList(error.getSQLState(), error.getUpdateCounts().length));
            }
        }
        say("batched", Arrays.asList(one(conn, ROOMS + " WHERE floor = 72"), one(conn, ROOMS + " WHERE floor = 73")));
    }

    static void cursors(Connection conn) throws SQLException {
        conn.setAutoCommit(false);
        try (PreparedStatement statement = conn.prepareStatement("SELECT id FROM patients ORDER BY id")) {
            statement.setFetchSize(99);
            long sum = 0;
            try (ResultSet rows = statement.executeQuery()) {
                while (rows.next()) sum += rows.getLong(1);
            }
            say("fetch size", sum);
        }
        conn.commit();
        conn.setAutoCommit(true);
    }

    static void copies(Connection conn) throws Exception {
        var copy = conn.unwrap(PGConnection.class).getCopyAPI();
        StringBuilder lines = new StringBuilder();
        for (int i = 0; i < 5000; i++) lines.append("copy").append(i).append("\t74\t").append(i).append('\n');
        say("copy in", copy.copyIn("COPY rooms FROM STDIN", new StringReader(lines.toString())));
        StringWriter out = new StringWriter();
        copy.copyOut("COPY (SELECT room FROM rooms WHERE floor = 74 ORDER BY beds LIMIT 3) TO STDOUT", out);
        say("copy out", out.toString());
        try {
            copy.copyIn("COPY rooms FROM STDIN", new StringReader("x\tnot a number\t1\n"));
        } catch (SQLException error) {
            say("copy error", error.getSQLState());
        }
        say("copied", one(conn, ROOMS + " WHERE floor = 74"));
    }

    static void cancelling(Connection conn) throws Exception {
        try (Statement slow = conn.createStatement(); Connection other = connect()) {
            CompletableFuture<String> ended = CompletableFuture.supplyAsync(() -> {
                try {
                    slow.execute("SELECT pg_sleep(600)");
                    return "finished";
                } catch (SQLException error) {
                    return error.getSQLState();
                }
            });
            String running = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state = 'active' AND query LIKE 'SELECT pg_sleep%'";
            while (!one(other, running).equals(1L)) Thread.sleep(10);
            slow.cancel();
            say("cancelled", ended.get());
        }
        try (Statement statement = conn.createStatement()) {
            statement.setQueryTimeout(1);
            statement.execute("SELECT pg_sleep(600)");
        } catch (SQLException error) {
            say("query timeout", error.getSQLState());
        }
        say("usable", one(conn, "SELECT 'yes'"));
    }

    static int delete(Connection conn, int floor) throws SQLException {
        try (PreparedStatement statement = conn.prepareStatement("DELETE FROM rooms WHERE floor = ?")) {
            statement.setInt(1, floor);
            return statement.executeUpdate();
        }
    }

    static void held() throws Exception {
        try (Connection conn = connect()) {
            try (Statement statement = conn.createStatement()) {
                say("statement", statement.executeUpdate("DELETE FROM rooms WHERE floor = 0"));
                say("noticed", statement.getWarnings() != null);
            }
            say("prepared", Arrays.asList(delete(conn, 1), delete(conn, 1)));
            try (PreparedStatement statement = conn.prepareStatement("DELETE FROM rooms WHERE floor = ? RETURNING room")) {
                statement.setInt(1, 2);
                List<Object> rooms = column(statement.executeQuery());
                Collections.sort(rooms, (a, b) -> a.toString().compareTo(b.toString()));
                say("returning", rooms);
            }
            conn.setAutoCommit(false);
            try (Statement statement = conn.createStatement()) {
                statement.executeUpdate("INSERT INTO rooms VALUES ('last', 3)");
            }
            say("inside", delete(conn, 3));
            conn.commit();
            say("left", one(conn, ROOMS));
            conn.commit();
        }
    }

    static void denied() throws Exception {
        try (Connection conn = connect()) {
            for (String[] each : new String[][] {{"person", "DELETE FROM rooms"}, {"rule", "TRUNCATE rooms"}}) {
                try (Statement statement = conn.createStatement()) {
                    statement.execute(each[1]);
                } catch (PSQLException error) {
                    ServerErrorMessage said = error.getServerErrorMessage();
                    say(each[0], Arrays.asList(said.getSQLState(), said.getSeverity(), said.getMessage(), said.getDetail(), said.getHint()));
                }
                say(each[0] + " usable", one(conn, ROOMS));
            }
            try {
                delete(conn, 1);
            } catch (SQLException error) {
                say("parameters", error.getSQLState());
            }
            conn.setAutoCommit(false);
            try (Statement statement = conn.createStatement()) {
                statement.executeUpdate("INSERT INTO rooms VALUES ('undone', 40)");
                try {
                    delete(conn, 40);
                } catch (SQLException error) {
                    say("inside", error.getSQLState());
                }
                statement.execute("SELECT 1");
            } catch (SQLException error) {
                say("aborted", error.getSQLState());
            }
            conn.rollback();
            say("undone", one(conn, ROOMS + " WHERE floor = 40"));
            conn.commit();
        }
    }
}
