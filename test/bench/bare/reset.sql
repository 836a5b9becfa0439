truncate one, narrowest, narrow;
insert into narrow select n, 0 from generate_series(1, 100000) n;
