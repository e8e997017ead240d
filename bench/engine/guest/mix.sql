-- SPDX-License-Identifier: Apache-2.0
PRAGMA journal_mode=WAL; PRAGMA synchronous=OFF;
CREATE TABLE t(a INTEGER PRIMARY KEY, b INTEGER, c TEXT);
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<200000) INSERT INTO t SELECT i, (i*7919)%200003, 'row number '||i FROM n;
CREATE INDEX tb ON t(b);
SELECT count(*), sum(b), max(c) FROM t WHERE b BETWEEN 100 AND 120000;
SELECT count(*) FROM t x JOIN t y ON x.b = y.a WHERE y.b % 3 = 0;
UPDATE t SET c = c||'x' WHERE b % 5 = 0;
SELECT b%17, count(*), avg(length(c)) FROM t GROUP BY b%17 ORDER BY 2, 1 LIMIT 5;
SELECT sum(length(c)) FROM t WHERE c LIKE '%99%x';
DELETE FROM t WHERE b % 2 = 0;
SELECT count(*), sum(a) FROM t;
