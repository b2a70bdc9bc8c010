-- An operator's action waits until the store is whole: what a recovery brings back of earlier ones would come over it.
-- Each action writes its row here in its own transaction; rows that are brought back have no transaction (xid 0).
CREATE FUNCTION refuse_while_recovering() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF EXISTS (SELECT FROM store WHERE state = 'recovering') THEN
    RAISE EXCEPTION 'the job store travelled back and is made whole from log and archive' USING ERRCODE = '57P03';
  END IF;
  RETURN NEW;
END $$;

CREATE TRIGGER audit_waits BEFORE INSERT ON audit FOR EACH ROW
  WHEN (NEW.actor <> 'hooktrail' AND NEW.xid <> '0') EXECUTE FUNCTION refuse_while_recovering();
