select (select count(*) from one) + (select count(*) from narrowest), (select sum(updates) from narrow), 0, 0;
