-- The users table, the dataset that the service exports out of the box.
CREATE TABLE users (
    id                SERIAL PRIMARY KEY,
    name              VARCHAR(255) NOT NULL,
    email             VARCHAR(255) UNIQUE NOT NULL,
    signup_date       TIMESTAMPTZ DEFAULT now(),
    country_code      CHAR(2) NOT NULL,
    subscription_tier VARCHAR(50) DEFAULT 'free',
    lifetime_value    NUMERIC(10,2) DEFAULT 0.00
);

CREATE INDEX users_country_code_idx ON users (country_code);
CREATE INDEX users_subscription_tier_idx ON users (subscription_tier);
CREATE INDEX users_lifetime_value_idx ON users (lifetime_value);
CREATE INDEX users_signup_date_idx ON users (signup_date);
