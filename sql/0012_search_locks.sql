-- Whoever changes memories or deletes turns changes what can be found, and so waits for the row of
-- search_state. It is taken before any row of theirs is: else two writers could wait for each other.

create function take_search_state() returns trigger language plpgsql as $$
begin
    perform from search_state for update;
    return null;
end
$$;
comment on function take_search_state() is 'Waits until nobody else changes what can be found.';
create trigger memories_taken before insert or update or delete on memories
    for each statement execute function take_search_state();
create trigger turns_taken before delete on cleaned_messages
    for each statement execute function take_search_state();
