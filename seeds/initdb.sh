# For docker-compose.yml, whose Postgres runs this once, in a new database: the users table with ROWS rows.
psql -X --username "$POSTGRES_USER" --dbname "$POSTGRES_DB" -v rows="$ROWS" -f /seeds/generate-users.sql
