-- The constraints of 0009, checked against what is there without keeping anybody from writing meanwhile.
ALTER TABLE sessions VALIDATE CONSTRAINT sessions_cookie_is_sha256;

ALTER TABLE sessions VALIDATE CONSTRAINT sessions_one_credential;
