select count(pgq.insert_event('bench', 'bench', :payload)) from generate_series(1, 100);
