select pgq.insert_event('bench', 'bench', :payload);
