-- SPDX-License-Identifier: Apache-2.0
-- A database with a journal: many small transactions, some taken back, triggers, joins, vacuum, checks.
PRAGMA journal_mode=DELETE;
PRAGMA cache_size=500;
CREATE TABLE account(id INTEGER PRIMARY KEY, owner TEXT, balance INTEGER NOT NULL, CHECK(balance > -1000000));
CREATE TABLE entry(id INTEGER PRIMARY KEY, account INTEGER REFERENCES account(id), amount INTEGER, note TEXT);
CREATE TRIGGER booked AFTER INSERT ON entry
BEGIN
    UPDATE account SET balance = balance + new.amount WHERE id = new.account;
END;
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000)
INSERT INTO account SELECT i, 'owner ' || (i * 7919 % 2003), 1000 FROM n;
CREATE INDEX by_owner ON account(owner);
BEGIN;
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 40000)
INSERT INTO entry SELECT i, 1 + i * 31 % 2000, (i * 7907 % 2001) - 1000, hex(i * 104729) FROM n;
COMMIT;
BEGIN;
UPDATE entry SET amount = amount * 2 WHERE id % 3 = 0;
DELETE FROM account WHERE id % 2 = 0;
SELECT count(*), sum(amount) FROM entry;
ROLLBACK;
CREATE INDEX by_account ON entry(account, amount);
SELECT count(*), sum(balance), min(balance), max(balance) FROM account;
SELECT owner, count(*), sum(amount), group_concat(substr(note, 1, 3)) FROM account JOIN entry ON account = account.id
    GROUP BY owner HAVING sum(amount) % 5 = 0 ORDER BY sum(amount), owner LIMIT 40;
SAVEPOINT before;
DELETE FROM entry WHERE note LIKE '%F%';
SELECT count(*) FROM entry;
ROLLBACK TO before;
RELEASE before;
DELETE FROM entry WHERE note LIKE '%7A%';
SELECT count(*), avg(amount), total(length(note)) FROM entry;
VACUUM;
PRAGMA integrity_check;
SELECT printf('%.12e', sum(balance * 1.1 / 3.7)) FROM account;
